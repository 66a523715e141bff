//! What the property tests of the check share: random documents, a walker on the engine, and a player of reported paths.

pub mod atlas;
pub mod day;
pub mod documents;
pub mod player;
pub mod walker;
pub mod worlds;
