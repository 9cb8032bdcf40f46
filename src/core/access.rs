//! Who may speak to us at all.
use ipnet::IpNet;

/// One rule of `[access]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessRule {
    /// Everybody.
    Any,
    /// This host, by its loopback addresses.
    Loopback,
    /// This host and the subnets of its interfaces.
    OnLink,
    /// A CIDR block.
    Net(IpNet),
}
