//! Tables for people, aligned by display width: a Chinese character is two columns wide.

use unicode_width::UnicodeWidthStr as _;

/// Rows under a header, each column as wide as its widest cell, two spaces between.
#[must_use]
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.width()).max().unwrap_or(0);
        widest.max(header[column].width())
    };
    let widths: Vec<_> = (0..header.len()).map(width).collect();
    let line = |cells: &[&str]| {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.width() + 2));
        }
        format!("{}\n", line.trim_end())
    };
    let rows = rows.iter().map(|row| {
        let cells: Vec<_> = row.iter().map(String::as_str).collect();
        line(&cells)
    });
    std::iter::once(line(header)).chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_what_is_seen() {
        let rows = [
            vec!["三环境集群测试".to_owned(), "pass".to_owned()],
            vec!["first".to_owned(), "fail".to_owned()],
        ];
        insta::assert_snapshot!(table(&["TITLE", "VERDICT"], &rows), @r"
        TITLE           VERDICT
        三环境集群测试  pass
        first           fail
        ");
    }

    #[test]
    fn a_table_without_rows_is_its_header() {
        assert_eq!(table(&["A", "B"], &[]), "A  B\n");
    }
}
