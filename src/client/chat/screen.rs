//! The chat on the whole screen: keys to the model, the model to the screen, whenever something has changed and never else.

use super::driver::Driver;
use super::happening::{Action, Input};
use super::terminal::{Resizes, Terminal};
use super::view;
use crate::client::Failure;
use nix::poll::PollFlags;
use ratatui::crossterm::event::Event;
use ratatui_textarea::{Input as Stroke, Key};
use std::os::fd::AsFd;

/// Runs until its user or a signal ends it.
pub(super) fn run(driver: &mut Driver) -> Result<(), Failure> {
    let stdin = std::io::stdin();
    let resizes = Resizes::watch()?;
    let mut terminal = Terminal::enter()?;
    loop {
        driver.hear();
        driver.keep_time();
        read(driver)?;
        for wish in driver.take_wishes() {
            match wish {
                Action::Quit => return Ok(()),
                Action::Bell => terminal.ring(),
                Action::Redraw => terminal.clear()?,
                Action::Suspend => terminal.suspend()?,
                _ => {}
            }
        }
        resizes.take();
        let (width, height) = terminal.size()?;
        if (driver.model.width, driver.model.height) != (width, height) {
            driver.feed(Input::Resize { width, height });
        }
        if driver.take_change() {
            terminal.draw(|frame| view::draw(&driver.model, frame))?;
        }
        let wake = driver.wait(None, &[(stdin.as_fd(), PollFlags::POLLIN), (resizes.as_fd(), PollFlags::POLLIN)])?;
        let is_gone = wake.watched.iter().any(|told| told.intersects(PollFlags::POLLHUP | PollFlags::POLLERR));
        if wake.is_interrupted || is_gone {
            return Ok(());
        }
    }
}

/// Takes what was typed.
fn read(driver: &mut Driver) -> Result<(), Failure> {
    while let Some(event) = Terminal::next_event()? {
        match event {
            Event::Key(key) => {
                let stroke = Stroke::from(key);
                if stroke.key != Key::Null {
                    driver.feed(Input::Key(stroke));
                }
            }
            Event::Paste(text) => driver.feed(Input::Paste(text)),
            Event::Resize(width, height) => driver.feed(Input::Resize { width, height }),
            Event::FocusGained => driver.feed(Input::Focus(true)),
            Event::FocusLost => driver.feed(Input::Focus(false)),
            Event::Mouse(_) => {}
        }
    }
    Ok(())
}
