//! The other world, from one seed: clock, network, disk, peers
