//! What the operator sees and does.

use crate::script::Stage;
use belfry::config;
use belfry::services::chat::{Kicked, NoSuchMember, Way};

/// A hub without history, whose welcome is shorter.
fn stage() -> Stage {
    Stage::new(&config::Chat { history: 0, ..config::Chat::default() })
}

impl Stage {
    /// Removes somebody; what comes of it stands at the head of the next script.
    fn kick(&mut self, name: &str) -> Result<Kicked, NoSuchMember> {
        let now = self.now();
        self.hub.kick(&now, name, &mut self.out)
    }
}

#[test]
fn who_is_removed_is_told_on_a_line_only_and_so_are_those_who_stay() {
    let mut stage = stage();
    stage.play(
        r"
        anna > /nick anna\n
        anna < -- Welcome to belfry.lan. You are localhost-40001 in lobby with nobody else yet. /help lists what you can type.\n
        anna < -- You are anna now.\n
        bob > /nick bob
        anna < -- localhost-40002 has joined\n
        bob < -- You are bob now.
        anna < -- localhost-40002 is now bob\n
        carl > \n
        anna < -- localhost-40003 has joined\n
        carl < -- Welcome to belfry.lan. You are localhost-40003 in lobby with 2 others. /help lists what you can type.\n
        ",
    );
    let anna = Kicked { name: "anna".to_owned(), room: "lobby".to_owned(), addr: "127.0.0.1:40001".parse().unwrap() };
    assert_eq!(stage.kick("ANNA"), Ok(anna));
    stage.play(
        r"
        anna < -- You have been removed by the operator.\n
        carl < -- anna was removed by the operator\n
        ",
    );
    stage.kick("bob").unwrap();
    stage.play(
        r"
        carl < -- bob was removed by the operator\n
        # who speaks is a member again, by another name
        anna > hello\n
        carl < -- localhost-40001 has joined\n
        anna < -- Welcome to belfry.lan. You are localhost-40001 in lobby with one other. /help lists what you can type.\n
        carl < localhost-40001: hello\n
        anna < localhost-40001: hello\n
        ",
    );
}

#[test]
fn a_name_that_nobody_has_brings_the_nearest_to_mind() {
    let mut stage = stage();
    stage.say("anna", "/nick anna");
    stage.say("bob", "/nick Änne");
    let nearest = |stage: &mut Stage, name: &str| stage.kick(name).unwrap_err().nearest;
    assert_eq!(nearest(&mut stage, "Amna").as_deref(), Some("anna"));
    assert_eq!(nearest(&mut stage, "Änna").as_deref(), Some("anna"), "one letter each: the first by name");
    assert_eq!(nearest(&mut stage, "ännee").as_deref(), Some("Änne"));
    for far in ["robert", "", &"anna".repeat(1_000)] {
        assert_eq!(nearest(&mut stage, far), None, "{far}");
    }
    assert_eq!(stage.hub.member_count(), 2);
}

#[test]
fn members_are_shown_in_the_order_of_their_names_with_all_that_is_known_of_them() {
    let mut stage = stage();
    let start = stage.now().mono;
    stage.say("carl", "/nick carl\n");
    stage.wait(2);
    stage.say("bob", "^hb^");
    stage.say("bob", "/nick Bob");
    stage.say("anna", "/nick anna");
    stage.say("anna", "/join lab");
    stage.say("carl", "/away at lunch\n");
    stage.hub.handle_out_of_reach(&stage.now(), "127.0.0.1:40001".parse().unwrap());
    let members: Vec<_> = stage.hub.members().collect();
    assert_eq!(members.iter().map(|member| member.name).collect::<Vec<_>>(), ["anna", "Bob", "carl"]);
    let shown = |index: usize| {
        let member = &members[index];
        (member.rooms[0], member.way, member.heartbeats, member.away, member.in_reach)
    };
    assert_eq!(shown(0), ("lab", Way::Program, false, None, false));
    assert_eq!(shown(1), ("lobby", Way::Program, true, None, true));
    assert_eq!(shown(2), ("lobby", Way::Line, false, Some("at lunch"), true));
    assert_eq!(members[2].addr, "127.0.0.1:40003".parse().unwrap());
    assert!(members.iter().all(|member| member.last_heard.since(start).as_secs() == 2));
}
