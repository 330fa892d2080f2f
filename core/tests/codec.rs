//! The wire codec as others see it: whole streams, odd cuts, and another codec's opinion.
//!
//! Everything here goes through the public interface only. `wire` frames bytes by hand, `values`
//! and `methods` make arguments and every method, at random and as `amq-protocol` has them.

mod codec {
    mod agreement;
    mod content;
    mod contents;
    mod egress;
    mod methods;
    mod round_trip;
    mod splits;
    mod values;
    mod wire;
}
