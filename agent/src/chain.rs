//! An error with its causes, in one line.

use std::{error::Error, fmt};

/// Displays an error and every source behind it: `open x: permission denied`.
#[derive(Debug)]
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            write!(f, ": {error}")?;
            next = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_follow_in_one_line() {
        let error = crate::spool::SpoolError::File {
            act: "open",
            path: "x".into(),
            source: std::io::Error::other("no"),
        };
        assert_eq!(Chain(&error).to_string(), "open x: no");
    }
}
