//! The network interfaces as the kernel last told of them.

use ipnet::IpNet;

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
    /// Our addresses on it, with the subnets that they stand in.
    pub addresses: Vec<IpNet>,
}
