//! The language of what people read. JSON, ids, names and what a target said are never translated.

use serde::Deserialize;

/// A language that reports can be written in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum Lang {
    /// English.
    #[default]
    #[serde(rename = "en")]
    En,
    /// Chinese as it is written in mainland China.
    #[serde(rename = "zh-CN")]
    ZhCn,
}

impl Lang {
    /// Every language.
    pub const ALL: [Self; 2] = [Self::En, Self::ZhCn];

    /// Its tag (BCP 47), as `--lang` takes it and HTML names it.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::ZhCn => "zh-CN",
        }
    }

    /// The language of a locale, `zh_CN.UTF-8` as well as `zh-CN`. Languages that there are no texts
    /// for, traditional Chinese among them, and `C` are `None`.
    #[must_use]
    pub fn of_locale(locale: &str) -> Option<Self> {
        let tag = locale.split(['.', '@']).next().unwrap_or_default();
        let tag = tag.replace('_', "-").to_ascii_lowercase();
        let mut parts = tag.split('-');
        match (parts.next()?, parts.next()) {
            ("en", _) => Some(Self::En),
            ("zh", None | Some("cn" | "hans" | "sg")) => Some(Self::ZhCn),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locales_name_languages() {
        for (locale, lang) in [
            ("zh_CN.UTF-8", Some(Lang::ZhCn)),
            ("zh-cn", Some(Lang::ZhCn)),
            ("zh", Some(Lang::ZhCn)),
            ("zh_TW.UTF-8", None),
            ("en_GB", Some(Lang::En)),
            ("C.UTF-8", None),
            ("POSIX", None),
            ("", None),
            ("de_DE@euro", None),
        ] {
            assert_eq!(Lang::of_locale(locale), lang, "{locale}");
        }
        for lang in Lang::ALL {
            assert_eq!(Lang::of_locale(lang.tag()), Some(lang));
            assert_eq!(serde_json::from_value(lang.tag().into()).ok(), Some(lang));
        }
    }
}
