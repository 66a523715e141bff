//! The company: the document as written and, soon beside it, the compiled version that calls run on.

pub mod document;

pub use document::Document;
