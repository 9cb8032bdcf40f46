//! The interface watch: whatever the kernel seems to say, the table that comes of it is in order.
//!
//! What answers its first request has number 1, what answers the second number 2, so the same bytes are handed over each time.

use belfry::daemon::netlink::message::messages;
use belfry::daemon::netlink::watch::Watch;

/// Our port.
const PORT: u32 = 7;

/// What was received.
pub fn netlink(data: &[u8]) {
    assert!(messages(data).map(|message| message.body.len() + 16).sum::<usize>() <= data.len());
    let mut watch = Watch::new(PORT);
    let mut requests = 0;
    while let Some(request) = watch.next_request() {
        let asked: Vec<_> = messages(&request).collect();
        assert_eq!(asked.len(), 1, "a request is one message");
        watch.take(data);
        requests += 1;
        // A change that is told with each answer has the watch ask for ever, as it should.
        if requests == 8 {
            break;
        }
    }
    assert!(requests > 0, "it begins by asking");
    if let Ok(Some(table)) = watch.publish() {
        assert!(table.windows(2).all(|pair| pair[0].index < pair[1].index), "{table:?}");
        for interface in &table {
            assert!(
                interface.index > 0 && !interface.name.is_empty() && !interface.name.contains('\0'),
                "{interface:?}"
            );
            assert!(interface.addresses.windows(2).all(|pair| pair[0] < pair[1]), "{interface:?}");
        }
        assert!(watch.publish().is_ok_and(|again| again.is_none()), "a table is given out once");
    }
}
