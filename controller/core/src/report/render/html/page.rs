//! What the page is written with. Text goes through [`Page::text`], which makes it harmless; what
//! does not is our own and says so by its type.

use super::super::{
    catalogue::Say,
    escape::{html, html_lines},
    lang::Lang,
};

/// The page under way.
pub(super) struct Page {
    pub(super) out: String,
    pub(super) lang: Lang,
}

/// A cell of a table.
pub(super) struct Cell {
    /// A class of the style sheet.
    class: &'static str,
    text: String,
}

impl Cell {
    pub(super) fn new(class: &'static str, text: impl Into<String>) -> Self {
        Self {
            class,
            text: text.into(),
        }
    }

    /// A figure, to the right.
    pub(super) fn number(text: impl ToString) -> Self {
        Self::new("n", text.to_string())
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new("", text)
    }
}

impl Page {
    /// Our own markup, without anything from outside in it.
    pub(super) fn markup(&mut self, markup: &'static str) {
        self.out.push_str(markup);
    }

    /// Text from anywhere.
    pub(super) fn text(&mut self, text: &str) {
        self.out.push_str(&html(text));
    }

    /// The same, with its lines.
    pub(super) fn lines(&mut self, text: &str) {
        self.out.push_str(&html_lines(text));
    }

    /// `<tag class>text</tag>`. What is in it can't reorder what is around it.
    pub(super) fn element(&mut self, tag: &'static str, class: &'static str, text: &str) {
        self.open(tag, class);
        self.text(text);
        self.close(tag);
    }

    pub(super) fn open(&mut self, tag: &'static str, class: &'static str) {
        self.out.push('<');
        self.out.push_str(tag);
        if !class.is_empty() {
            self.out.push_str(" class=\"");
            self.out.push_str(class);
            self.out.push('"');
        }
        self.out.push('>');
    }

    pub(super) fn close(&mut self, tag: &'static str) {
        self.out.push_str("</");
        self.out.push_str(tag);
        self.out.push_str(">\n");
    }

    /// A paragraph of our own words.
    pub(super) fn remark(&mut self, say: &Say<'_>) {
        self.element("p", "soft", &self.lang.say(say));
    }

    pub(super) fn section(
        &mut self,
        id: &'static str,
        title: &Say<'_>,
        body: impl FnOnce(&mut Self),
    ) {
        self.markup("<section id=\"");
        self.markup(id);
        self.markup("\">\n");
        self.element("h2", "", &self.lang.say(title));
        body(self);
        self.close("section");
    }

    /// What is folded away until somebody wants it; Enter opens it.
    pub(super) fn folded(&mut self, title: &Say<'_>, body: impl FnOnce(&mut Self)) {
        self.markup("<details>");
        self.element("summary", "", &self.lang.say(title));
        body(self);
        self.close("details");
    }

    /// `<dt>` and `<dd>`.
    pub(super) fn fact(&mut self, what: &Say<'_>, text: &str) {
        self.element("dt", "", &self.lang.say(what));
        self.element("dd", "", text);
    }

    /// A table that says to who can't see what is above it what it shows. It scrolls by itself when it is too wide, by the keyboard too. The first cell of a
    /// row names it.
    pub(super) fn table(
        &mut self,
        label: &str,
        head: &[String],
        rows: impl IntoIterator<Item = Vec<Cell>>,
    ) {
        self.markup("<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"");
        self.text(label);
        self.markup("\"><table>\n<thead><tr>");
        for cell in head {
            self.markup("<th scope=\"col\">");
            self.text(cell);
            self.markup("</th>");
        }
        self.markup("</tr></thead>\n<tbody>\n");
        for row in rows {
            self.markup("<tr>");
            for (place, cell) in row.iter().enumerate() {
                if place == 0 {
                    self.markup("<th scope=\"row\">");
                    self.text(&cell.text);
                    self.markup("</th>");
                } else {
                    self.open("td", cell.class);
                    self.text(&cell.text);
                    self.markup("</td>");
                }
            }
            self.markup("</tr>\n");
        }
        self.markup("</tbody></table></div>\n");
    }

    /// The head of a table in our own words.
    pub(super) fn heads(&self, says: &[Say<'_>]) -> Vec<String> {
        says.iter().map(|say| self.lang.say(say)).collect()
    }
}
