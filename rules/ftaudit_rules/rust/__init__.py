"""Rules for Rust sources."""
