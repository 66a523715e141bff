//! SIP as a stateless redirect server speaks it (RFC 3261, 8.3).
