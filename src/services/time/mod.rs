//! Time service.
