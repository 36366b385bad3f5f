//! Whole questions through the offline translator, against a small shop.

mod questions;
pub(super) mod shop;
