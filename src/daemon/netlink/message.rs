//! What the kernel writes on a `NETLINK_ROUTE` socket, read with every length checked (netlink(7), rtnetlink(7)).
//!
//! A message is a header of 16 bytes and a body; the body of an interface or an address is a fixed part and then
//! attributes. All numbers are in the byte order of the host. What is cut short or contradicts itself ends the reading
//! of that message or those attributes: what came before it counts, and nothing panics.
//!
//! Only what the interface table needs is read. Multicast routes, statistics and the like are passed over.

use ipnet::IpNet;
use nix::libc;
use std::net::IpAddr;

/// The end of a dump; its body is 0 or a negative errno.
pub const DONE: u16 = libc::NLMSG_DONE as u16;
/// A refusal; its body begins with a negative errno, or 0 for an acknowledgement.
pub const ERROR: u16 = libc::NLMSG_ERROR as u16;

const HEADER_LEN: usize = 16;
/// The fixed part of an interface: `struct ifinfomsg`.
const LINK_LEN: usize = 16;
/// The fixed part of an address: `struct ifaddrmsg`.
const ADDRESS_LEN: usize = 8;
/// The header of an attribute: its length and its kind.
const ATTRIBUTE_LEN: usize = 4;

/// One message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// What it is: `RTM_NEWLINK`, [`DONE`] and so on.
    pub kind: u16,
    /// `NLM_F_…`
    pub flags: u16,
    /// The number of the request that it answers or that caused it.
    pub sequence: u32,
    /// The netlink port that made that request.
    pub port: u32,
    /// What follows the header.
    pub body: &'a [u8],
}

impl Message<'_> {
    /// Whether a dump changed while the kernel wrote it, so that it may have missed something.
    pub fn is_interrupted(&self) -> bool {
        self.flags & libc::NLM_F_DUMP_INTR as u16 != 0
    }

    /// The errno at the front of a [`DONE`] or an [`ERROR`], as a positive number; 0 is none.
    pub fn errno(&self) -> i32 {
        u32_at(self.body, 0).map_or(0, |errno| errno.cast_signed().wrapping_neg())
    }
}

/// An interface without its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number for it.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `IFF_…`
    pub flags: u32,
}

/// An address of ours on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// The kernel's number for the interface.
    pub interface: u32,
    /// It, with the subnet that it stands in.
    pub ours: IpNet,
    /// The other end of a point-to-point link, with the subnet that lies behind it.
    pub peer: Option<IpNet>,
}

/// The messages in what was received at once.
pub fn messages(bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let len = usize::try_from(u32_at(rest, 0)?).ok()?;
        let message = Message {
            kind: u16_at(rest, 4)?,
            flags: u16_at(rest, 6)?,
            sequence: u32_at(rest, 8)?,
            port: u32_at(rest, 12)?,
            body: rest.get(HEADER_LEN..len)?,
        };
        rest = after(rest, len);
        Some(message)
    })
}

/// Reads the body of an `RTM_NEWLINK`; `None` when it is no interface, such as the port of a bridge.
pub fn parse_link(body: &[u8]) -> Option<Link> {
    let (&family, index, flags) = (body.first()?, u32_at(body, 4)?, u32_at(body, 8)?);
    let name = attributes(body.get(LINK_LEN..)?).find(|&(kind, _)| kind == libc::IFLA_IFNAME)?.1;
    let name = name.split(|&byte| byte == 0).next()?;
    let is_interface = i32::from(family) == libc::AF_UNSPEC && index != 0 && !name.is_empty();
    is_interface.then(|| Link { index, name: String::from_utf8_lossy(name).into_owned(), flags })
}

/// Reads the body of an `RTM_NEWADDR`.
///
/// `None` for what cannot be sent from: an IPv6 address that is still being checked for doubles, or was found to be
/// one (RFC 4862 §5.4). The kernel tells of it again when the check is over.
pub fn parse_address(body: &[u8]) -> Option<Address> {
    let (&prefix_len, interface) = (body.get(1)?, u32_at(body, 4)?);
    let mut flags = u32::from(*body.get(2)?);
    let (mut local, mut address) = (None, None);
    for (kind, value) in attributes(body.get(ADDRESS_LEN..)?) {
        match kind {
            libc::IFA_LOCAL => local = parse_ip(value),
            libc::IFA_ADDRESS => address = parse_ip(value),
            // The flags of the fixed part are the low eight of these.
            libc::IFA_FLAGS => flags = u32_at(value, 0)?,
            _ => {}
        }
    }
    let checked = flags & libc::IFA_F_TENTATIVE == 0 || flags & libc::IFA_F_OPTIMISTIC != 0;
    // On a point-to-point link the address is the other end's and the subnet is around that; ours stands alone.
    let (ours, peer) = match (local, address) {
        (Some(ours), Some(theirs)) if ours != theirs => (IpNet::from(ours), Some(theirs)),
        (ours, theirs) => (IpNet::new(ours.or(theirs)?, prefix_len).ok()?, None),
    };
    let peer = peer.map(|theirs| IpNet::new(theirs, prefix_len)).transpose().ok()?;
    let usable = checked && flags & libc::IFA_F_DADFAILED == 0 && interface != 0;
    usable.then_some(Address { interface, ours, peer })
}

/// A request for all interfaces (`RTM_GETLINK`) or all addresses (`RTM_GETADDR`).
pub fn write_dump_request(kind: u16, sequence: u32) -> Vec<u8> {
    let fixed_len = if kind == libc::RTM_GETLINK { LINK_LEN } else { ADDRESS_LEN };
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let len = HEADER_LEN + fixed_len;
    let mut request = Vec::with_capacity(len);
    request.extend((len as u32).to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend(flags.to_ne_bytes());
    request.extend(sequence.to_ne_bytes());
    // From port 0, which the kernel replaces by ours; then a fixed part that asks for every family and interface.
    request.resize(len, 0);
    request
}

/// The attributes in a part of a body, each with its kind.
fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let len = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)? & libc::NLA_TYPE_MASK as u16;
        let value = rest.get(ATTRIBUTE_LEN..len)?;
        rest = after(rest, len);
        Some((kind, value))
    })
}

/// What follows the first `len` bytes and the padding behind them; messages and attributes start at multiples of 4.
fn after(bytes: &[u8], len: usize) -> &[u8] {
    bytes.get(len.next_multiple_of(4)..).unwrap_or_default()
}

fn parse_ip(value: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(value).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(value).map(IpAddr::from)).ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

/// Builds what the kernel would write.
#[cfg(test)]
pub(super) mod build {
    use super::*;

    pub(crate) fn message(kind: u16, flags: i32, sequence: u32, port: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(HEADER_LEN + body.len()).unwrap().to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(u16::try_from(flags).unwrap().to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend(port.to_ne_bytes());
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    pub(crate) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = u16::try_from(ATTRIBUTE_LEN + value.len()).unwrap().to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    pub(crate) fn link(index: u32, name: &str, flags: i32) -> Vec<u8> {
        let mut body = vec![0, 0, 1, 0];
        body.extend(index.to_ne_bytes());
        body.extend(flags.to_ne_bytes());
        body.extend([0; 4]);
        // One byte and padding stand before the name, which thus is found only if padding is passed over.
        body.extend(attribute(libc::IFLA_OPERSTATE, &[6]));
        body.extend(attribute(libc::IFLA_IFNAME, format!("{name}\0").as_bytes()));
        body
    }

    pub(crate) fn address(index: u32, net: &str) -> Vec<u8> {
        let net: IpNet = net.parse().unwrap();
        let mut body = vec![2, net.prefix_len(), 0, 0];
        body.extend(index.to_ne_bytes());
        match net.addr() {
            IpAddr::V4(addr) => body.extend(attribute(libc::IFA_LOCAL, &addr.octets())),
            IpAddr::V6(addr) => body.extend(attribute(libc::IFA_ADDRESS, &addr.octets())),
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Two answers to an address dump, as a kernel wrote them: 10.9.0.1/24 on interface 3, and an IPv6 address of
    /// interface 2 that was still being checked for doubles.
    const CAPTURED: &str = "4c00000014000200050000004d0000000218800003000000080001000a090001080002000a0900010700030076\
        610000080008008000000014000600ffffffffffffffff0cc902000cc90200\
        5000000014000200050000004d0000000a40c0fd0200000014000100fe800000000000008ceed6fffef3588d14000600ffffffffffffff\
        ff0dc902000dc9020008000800c000000005000b0003000000";

    fn captured() -> Vec<u8> {
        let digits: Vec<u8> = CAPTURED.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
        digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect()
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn what_a_kernel_wrote_is_read() {
        let bytes = captured();
        let all: Vec<_> = messages(&bytes).collect();
        let heads: Vec<_> = all.iter().map(|one| (one.kind, one.flags, one.sequence, one.port)).collect();
        assert_eq!(heads, [(libc::RTM_NEWADDR, 2, 5, 77); 2]);
        let expected = Address { interface: 3, ours: "10.9.0.1/24".parse().unwrap(), peer: None };
        assert_eq!(parse_address(all[0].body), Some(expected));
        assert_eq!(parse_address(all[1].body), None, "tentative");
    }

    #[test]
    fn an_interface_is_read_by_its_name_number_and_flags() {
        let body = build::link(7, "eth0", libc::IFF_UP);
        assert_eq!(parse_link(&body), Some(Link { index: 7, name: "eth0".to_owned(), flags: 1 }));
        let mut port_of_a_bridge = body.clone();
        port_of_a_bridge[0] = libc::AF_BRIDGE as u8;
        assert_eq!(parse_link(&port_of_a_bridge), None);
        assert_eq!(parse_link(&build::link(0, "eth0", 0)), None);
        assert_eq!(parse_link(&build::link(7, "", 0)), None);
    }

    #[test]
    fn our_end_of_a_point_to_point_link_stands_alone_and_the_subnet_is_around_the_other() {
        let mut body = build::address(4, "10.0.0.1/30");
        body.extend(build::attribute(libc::IFA_ADDRESS, &[10, 0, 0, 2]));
        let expected = Address { interface: 4, ours: "10.0.0.1/32".parse().unwrap(), peer: "10.0.0.2/30".parse().ok() };
        assert_eq!(parse_address(&body), Some(expected));
        body[1] = 33;
        assert_eq!(parse_address(&body), None, "no address has that long a prefix");
    }

    #[test]
    fn an_address_that_cannot_be_sent_from_is_none() {
        let with = |flags: u32| {
            let mut body = build::address(2, "fe80::1/64");
            body.extend(build::attribute(libc::IFA_FLAGS, &flags.to_ne_bytes()));
            parse_address(&body).is_some()
        };
        assert!(with(0));
        assert!(!with(libc::IFA_F_TENTATIVE));
        assert!(with(libc::IFA_F_TENTATIVE | libc::IFA_F_OPTIMISTIC));
        assert!(!with(libc::IFA_F_DADFAILED));
    }

    #[test]
    fn an_address_that_contradicts_itself_is_none() {
        let mut body = build::address(2, "10.0.0.1/24");
        body[1] = 33;
        assert_eq!(parse_address(&body), None);
        let mut body = build::address(2, "10.0.0.1/24");
        body[ADDRESS_LEN] = 7;
        assert_eq!(parse_address(&body), None, "three bytes of address");
    }

    #[test]
    fn a_request_is_read_back() {
        for (kind, len) in [(libc::RTM_GETLINK, 16), (libc::RTM_GETADDR, 8)] {
            let bytes = write_dump_request(kind, 9);
            let all: Vec<_> = messages(&bytes).collect();
            assert_eq!(all.len(), 1);
            assert_eq!((all[0].kind, all[0].flags, all[0].sequence, all[0].body.len()), (kind, 0x301, 9, len));
        }
    }

    #[test]
    fn cut_anywhere_what_came_before_the_cut_is_read() {
        let whole = [
            build::message(libc::RTM_NEWLINK, 2, 1, 1, &build::link(1, "lo", 0)),
            build::message(libc::RTM_NEWADDR, 2, 1, 1, &build::address(1, "127.0.0.1/8")),
        ];
        let bytes = whole.concat();
        for len in 0..=bytes.len() {
            let count = messages(&bytes[..len]).count();
            let expected = usize::from(len >= whole[0].len()) + usize::from(len == bytes.len());
            assert_eq!(count, expected, "{len}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(
            junk in prop::collection::vec(any::<u8>(), 0..80),
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        ) {
            let mut bytes = captured();
            bytes.extend(build::message(libc::RTM_NEWLINK, 2, 1, 1, &build::link(1, "lo", 0)));
            bytes.extend(&junk);
            for (at, byte) in flips {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            for bytes in [&bytes, &junk] {
                let _ = (parse_link(bytes), parse_address(bytes));
                for message in messages(bytes) {
                    let _ = (parse_link(message.body), parse_address(message.body), message.errno());
                }
            }
        }
    }
}
