//! Chat hub.
