//! Scripts of what happens, and what is seen of it.
