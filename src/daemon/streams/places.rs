//! How many are connected: to each service, and from each source.

use crate::config::Connections;
use crate::core::source::Source;
use crate::services::ServiceName;
use std::collections::BTreeMap;

/// The places that are taken.
#[derive(Debug, Default)]
pub(super) struct Places {
    counts: [usize; ServiceName::ALL.len()],
    /// Those of each source that has any, and of each network whose addresses are sources.
    sources: BTreeMap<(ServiceName, Source), usize>,
}

impl Places {
    /// How many are taken at a service.
    pub(super) fn count(&self, service: ServiceName) -> usize {
        self.counts[service as usize]
    }

    /// Takes one for a source, if there is one for it; whether there was.
    ///
    /// One host can have all addresses of a network, so these have half of all places together.
    pub(super) fn take(&mut self, service: ServiceName, source: Source, bounds: &Connections) -> bool {
        let has = |source| self.sources.get(&(service, source)).copied().unwrap_or_default();
        let network_max = (bounds.max / 2).max(bounds.max_per_address);
        let is_free = self.count(service) < bounds.max
            && has(source) < bounds.max_per_address
            && source.network().is_none_or(|network| has(network) < network_max);
        if is_free {
            self.counts[service as usize] += 1;
            for source in [Some(source), source.network()].into_iter().flatten() {
                *self.sources.entry((service, source)).or_default() += 1;
            }
        }
        is_free
    }

    /// Gives one back.
    pub(super) fn release(&mut self, service: ServiceName, source: Source) {
        self.counts[service as usize] -= 1;
        for source in [Some(source), source.network()].into_iter().flatten() {
            let has = self.sources.get_mut(&(service, source)).expect("it was taken for it");
            *has -= 1;
            if *has == 0 {
                self.sources.remove(&(service, source));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;
    use std::time::Duration;

    const ECHO: ServiceName = ServiceName::Echo;

    fn bounds(max: usize, max_per_address: usize) -> Connections {
        Connections { max, max_per_address, idle_timeout: Duration::from_secs(1) }
    }

    fn source(addr: &str) -> Source {
        Source::of_sender(addr.parse::<IpAddr>().unwrap(), true)
    }

    #[test]
    fn there_are_so_many_places_and_not_one_more_until_one_is_given_back() {
        let mut places = Places::default();
        let sources: Vec<_> = (1..=4).map(|host| source(&format!("192.0.2.{host}"))).collect();
        let takes: Vec<bool> = sources.iter().map(|&source| places.take(ECHO, source, &bounds(3, 2))).collect();
        assert_eq!((takes, places.count(ECHO)), (vec![true, true, true, false], 3));
        places.release(ECHO, sources[0]);
        assert!(places.take(ECHO, sources[3], &bounds(3, 2)));
        sources[1..].iter().for_each(|&source| places.release(ECHO, source));
        assert!(places.sources.is_empty() && places.count(ECHO) == 0, "nothing is left of them");
    }

    #[test]
    fn a_source_has_so_many_places_and_an_ipv6_network_of_ours_half_of_all() {
        let mut places = Places::default();
        let bounds = bounds(10, 2);
        let mut take = |addr: &str| (0..10).filter(|_| places.take(ECHO, source(addr), &bounds)).count();
        assert_eq!((take("192.0.2.1"), take("192.0.2.2")), (2, 2));
        assert_eq!([1, 2, 3, 4].map(|host| take(&format!("2001:db8::{host}"))), [2, 2, 1, 0]);
        assert_eq!(take("192.0.2.3"), 1, "the last");
    }
}
