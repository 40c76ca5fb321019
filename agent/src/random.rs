//! Randomness from the operating system: identities and the jitter of reconnects.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

/// `N` random bytes.
///
/// # Errors
/// The kernel has no randomness to give, which it always has after boot.
pub fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        // Up to 256 bytes come whole; a signal may cut longer answers short.
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty())?;
    }
    Ok(bytes)
}

/// A number in `0..=most`, evenly enough for jitter.
///
/// # Errors
/// As for [`bytes`].
pub fn up_to(most: u64) -> io::Result<u64> {
    let drawn = u128::from(u64::from_le_bytes(bytes()?));
    // The high half of the product is `drawn` scaled to the range, without the bias of a modulus.
    Ok(u64::try_from((drawn * (u128::from(most) + 1)) >> 64).unwrap_or(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_in_their_range_and_reach_both_ends() {
        let drawn: Vec<_> = (0..200).map(|_| up_to(3).unwrap()).collect();
        assert!(drawn.iter().all(|&n| n <= 3));
        assert!(drawn.contains(&0) && drawn.contains(&3));
        assert_eq!(up_to(0).unwrap(), 0);
        assert!(up_to(u64::MAX).is_ok());
    }
}
