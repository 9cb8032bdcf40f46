//! A machine that is busy and to which nothing happens: the measure for those to which something does.

use crate::base::Suite;
use crate::load::{Crowd, Load};
use crate::machine::Machine;
use std::time::{Duration, Instant};

/// Two rooms of twenty programs and two people each, and a hundred requests a second.
pub(crate) const CROWD: Crowd = Crowd { programs: 40, people: 4, askers: 1 };

#[test]
fn of_what_members_and_askers_send_nothing_is_lost() {
    let Some(machine) = Machine::boot_with_belfry(Suite::Bookworm) else { return };
    let load = Load::start(&machine, CROWD);
    let begun = Instant::now();
    std::thread::sleep(Duration::from_secs(5));
    let then = Instant::now();
    let (account, members) = load.stop();
    println!("{account}");
    let (requests, texts) = (account.requests_between(begun, then), account.texts_between(begun, then));
    assert!(requests.sent > 300 && texts.sent > 50, "{requests:?}, {texts:?}");
    for tally in [account.requests(), account.texts(), account.deliveries()] {
        assert_eq!(tally.lost(), 0);
    }
    assert_eq!((account.doubled(), account.disordered, account.unsent), (0, 0, 0));
    assert_eq!((account.notices.len(), account.strange.len()), (0, 0));
    // The four people are the last of all, two in each room.
    for person in &members[members.len() - 2..] {
        let mut expected: Vec<_> =
            members.iter().filter(|member| member.room == person.room).map(|member| member.name.clone()).collect();
        expected.sort_unstable();
        assert_eq!(person.who(), expected);
        let history = person.history();
        for line in account.acked_lines(person.room) {
            assert!(history.contains(line), "{line} is not in the history:\n{history}");
        }
    }
}
