//! README, as somebody reads it who types what stands there.

/// The whole page.
pub(crate) const README: &str = include_str!("../../README.md");

/// The commands of a section, each after this prompt, with the lines that the page says they print.
pub(crate) fn commands(section: &str, prompt: &str) -> Vec<(&'static str, Vec<&'static str>)> {
    let mut commands = Vec::new();
    let text = README.split(&format!("\n## {section}")).nth(1).expect("the page has it").split("\n## ").next().unwrap();
    let blocks = text.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    for line in blocks.flat_map(str::lines) {
        match line.strip_prefix(prompt) {
            Some(command) => commands.push((command, Vec::new())),
            None => commands.last_mut().expect("a command comes first").1.push(line),
        }
    }
    commands
}

/// A line without what differs from day to day: each word is `a`, each number `0`, all white space one space.
pub(crate) fn shape(line: &str) -> String {
    let mut shape = String::new();
    for c in line.chars() {
        let kind = if c.is_ascii_digit() {
            '0'
        } else if c.is_alphabetic() {
            'a'
        } else {
            c
        };
        if !((kind.is_alphanumeric() || kind == ' ') && shape.ends_with(kind)) {
            shape.push(kind);
        }
    }
    shape
}
