//! Exhibits: their digest is checked at the door.

use nepho_common::{
    id::Digest,
    recording::{EXHIBIT_MAX, Exhibit},
};

use super::field::{at_most, id, name};
use crate::{
    bad::{BadMessage, Within as _, Wrong},
    wire,
};

impl TryFrom<wire::Exhibit> for Exhibit {
    type Error = BadMessage;

    fn try_from(wire: wire::Exhibit) -> Result<Self, BadMessage> {
        at_most("content", wire.content.len(), EXHIBIT_MAX)?;
        let digest: Digest = id("sha256", &wire.sha256)?;
        if digest != Digest::of(&wire.content) {
            return Err(Wrong::Digest).within("content");
        }
        Ok(Self {
            name: name("name", wire.name)?,
            digest,
            content: wire.content,
        })
    }
}

impl From<&Exhibit> for wire::Exhibit {
    fn from(exhibit: &Exhibit) -> Self {
        Self {
            name: exhibit.name.to_string(),
            sha256: exhibit.digest.bytes().to_vec(),
            content: exhibit.content.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::{exhibit, through};

    proptest! {
        #[test]
        fn an_exhibit_reads_back(exhibit in exhibit()) {
            prop_assert_eq!(through::<wire::Exhibit, _>(&exhibit), Ok(exhibit));
        }

        #[test]
        fn content_under_another_digest_is_refused(exhibit in exhibit(), byte in any::<u8>()) {
            let mut wire = wire::Exhibit::from(&exhibit);
            wire.content.push(byte);
            prop_assert_eq!(Exhibit::try_from(wire).unwrap_err().wrong, Wrong::Digest);
        }
    }

    #[test]
    fn an_exhibit_above_its_cap_is_refused() {
        let content = vec![0; EXHIBIT_MAX + 1];
        let sha256 = Digest::of(&content).bytes().to_vec();
        let wire = wire::Exhibit {
            name: "body".to_owned(),
            sha256,
            content,
        };
        let wrong = Exhibit::try_from(wire).unwrap_err().wrong;
        assert!(
            matches!(
                wrong,
                Wrong::TooMany {
                    max: EXHIBIT_MAX,
                    ..
                }
            ),
            "{wrong}"
        );
    }
}
