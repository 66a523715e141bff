//! HTTP/1.1 as a server speaks it (RFC 9112), for routing queries.
