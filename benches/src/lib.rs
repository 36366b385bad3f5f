//! Benches of the small pieces; see `benches/`. Run them with `make bench`.
