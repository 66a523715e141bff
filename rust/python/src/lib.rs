//! The thin binding.
