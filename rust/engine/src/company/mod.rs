//! The company: the document as written, and the compiled version that calls run on.

mod compile;
pub mod document;
mod hunts;
mod names;
mod nodes;
mod text;
pub mod version;

pub use compile::{Compiled, compile, compile_beside};
pub use document::Document;
pub use version::Company;
