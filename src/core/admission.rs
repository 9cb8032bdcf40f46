//! What stands before every service.
