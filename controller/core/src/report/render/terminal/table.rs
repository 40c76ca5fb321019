//! Rows with their columns below each other, by display width: a Chinese character is two columns
//! wide.

use unicode_width::UnicodeWidthStr as _;

/// A line for each row, two spaces between columns.
pub(super) fn aligned(rows: &[Vec<String>]) -> impl Iterator<Item = String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.width()).max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..columns).map(widest).collect();
    rows.iter().map(move |row| {
        let cells = row.iter().zip(&widths);
        let padded = cells.map(|(cell, width)| {
            format!("{cell}{}", " ".repeat(width.saturating_sub(cell.width())))
        });
        let line = padded.collect::<Vec<_>>().join("  ");
        line.trim_end().to_owned()
    })
}
