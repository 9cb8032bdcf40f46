//! The network interfaces as the kernel last told of them, and which of them a list of globs chooses.
//!
//! The table is replaced as a whole after each change; nobody edits it. Whoever needs to know what changed compares
//! what it made of the last table with what it makes of the next.

use ipnet::IpNet;
use std::net::IpAddr;

/// Which internet protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub const fn of(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// One network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The kernel's number for it.
    pub index: u32,
    /// Its name, such as `eth0`.
    pub name: String,
    /// Whether it is up and has a carrier (`IFF_UP` and `IFF_RUNNING`).
    pub up: bool,
    /// Whether it takes multicast (`IFF_MULTICAST`), or is the loopback interface.
    pub multicast: bool,
    /// Whether it is the loopback interface (`IFF_LOOPBACK`).
    pub loopback: bool,
    /// Our addresses on it, with the subnets that they stand in; only those that can be sent from already.
    pub addresses: Vec<IpNet>,
    /// The addresses of the other ends, where it is a point-to-point link, with the subnets that lie behind them.
    pub peers: Vec<IpNet>,
}

impl Interface {
    /// Whether a datagram to a group of `family` can leave by it.
    ///
    /// IPv6 gives the loopback interface no route for groups, so there only IPv4 can.
    pub fn reaches_groups(&self, family: Family) -> bool {
        self.up
            && self.multicast
            && self.addresses.iter().any(|net| Family::of(net.addr()) == family)
            && (family == Family::V4 || !self.loopback)
    }
}

/// Whether `globs` choose the interface `name`: the last one that matches decides, and `!` in front excludes.
///
/// `*` stands for any text, `?` for one character. A list that begins with an exclusion begins with everything, so
/// `["!wlan0"]` is every interface but that one; any other list begins with nothing.
pub fn is_chosen(globs: &[String], name: &str) -> bool {
    let everything_first = globs.first().is_some_and(|glob| glob.starts_with('!'));
    let decision = globs.iter().rev().find_map(|glob| match glob.strip_prefix('!') {
        Some(excluded) => glob_matches(excluded, name).then_some(false),
        None => glob_matches(glob, name).then_some(true),
    });
    decision.unwrap_or(everything_first)
}

/// Whether the whole of `name` is what `glob` describes, in at most |glob| × |name| steps.
fn glob_matches(glob: &str, name: &str) -> bool {
    let (glob, name): (Vec<char>, Vec<char>) = (glob.chars().collect(), name.chars().collect());
    let (mut at, mut read) = (0, 0);
    // The last star, and how much of the name it stands for so far. Only the last can need more than that.
    let mut star = None;
    while read < name.len() {
        match glob.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(&wanted) if wanted == '?' || wanted == name[read] => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((star_at, taken)) = star else { return false };
                star = Some((star_at, taken + 1));
                at = star_at + 1;
                read = taken + 1;
            }
        }
    }
    glob[at..].iter().all(|&rest| rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn globs(list: &[&str]) -> Vec<String> {
        list.iter().map(|&glob| glob.to_owned()).collect()
    }

    #[test]
    fn a_glob_describes_the_whole_name() {
        for (glob, name, expected) in [
            ("*", "", true),
            ("*", "eth0", true),
            ("eth0", "eth0", true),
            ("eth0", "eth01", false),
            ("eth", "eth0", false),
            ("eth?", "eth0", true),
            ("eth?", "eth", false),
            ("eth?", "eth10", false),
            ("e*0", "eth0", true),
            ("e*0", "eth00", true),
            ("e*0", "eth01", false),
            ("*a*ab", "aaab", true),
            ("*a*ab*", "ba", false),
            ("?*?", "x", false),
            ("br-*", "br-1f2e", true),
            ("", "", true),
            ("", "lo", false),
            ("üb?r*", "über0", true),
        ] {
            assert_eq!(glob_matches(glob, name), expected, "{glob} {name}");
        }
    }

    #[test]
    fn the_last_glob_that_matches_decides() {
        let list = globs(&["*", "!docker*", "!veth*", "veth7"]);
        for (name, expected) in
            [("eth0", true), ("lo", true), ("docker0", false), ("veth1", false), ("veth7", true), ("veth77", false)]
        {
            assert_eq!(is_chosen(&list, name), expected, "{name}");
        }
        assert!(!is_chosen(&globs(&["eth*", "!*"]), "eth0"));
    }

    #[test]
    fn a_list_that_begins_with_an_exclusion_begins_with_everything() {
        assert!(is_chosen(&globs(&["!wlan0"]), "eth0"));
        assert!(!is_chosen(&globs(&["!wlan0"]), "wlan0"));
        assert!(!is_chosen(&globs(&["eth*", "!eth1"]), "wlan0"));
        assert!(!is_chosen(&[], "eth0"));
    }

    #[test]
    fn groups_are_reached_where_the_family_has_an_address_and_a_route() {
        let interface = |up, multicast, addresses: &[&str]| Interface {
            index: 2,
            name: "eth0".to_owned(),
            up,
            multicast,
            loopback: false,
            addresses: addresses.iter().map(|net| net.parse().unwrap()).collect(),
            peers: Vec::new(),
        };
        let reached =
            |interface: &Interface| (interface.reaches_groups(Family::V4), interface.reaches_groups(Family::V6));
        assert_eq!(reached(&interface(true, true, &["10.0.0.1/24", "fe80::1/64"])), (true, true));
        assert_eq!(reached(&interface(true, true, &["fe80::1/64"])), (false, true));
        assert_eq!(reached(&interface(true, true, &[])), (false, false));
        assert_eq!(reached(&interface(false, true, &["10.0.0.1/24"])), (false, false));
        assert_eq!(reached(&interface(true, false, &["10.0.0.1/24"])), (false, false));
        let loopback = Interface { loopback: true, ..interface(true, true, &["127.0.0.1/8", "::1/128"]) };
        assert_eq!(reached(&loopback), (true, false));
    }

    proptest! {
        #[test]
        fn a_glob_made_from_a_name_by_blotting_out_matches_it(name in "[a-c]{0,12}", blots in "[xyz]{0,12}") {
            let mut glob = String::new();
            for (letter, blot) in name.chars().zip(blots.chars().chain(std::iter::repeat('x'))) {
                match blot {
                    'y' => glob.push('?'),
                    'z' => glob.push('*'),
                    _ => glob.push(letter),
                }
            }
            prop_assert!(glob_matches(&glob, &name), "{} {}", glob, name);
        }

        #[test]
        fn a_glob_without_wildcards_matches_only_itself(glob in "[a-c]{0,4}", name in "[a-c]{0,4}") {
            prop_assert_eq!(glob_matches(&glob, &name), glob == name);
        }
    }
}
