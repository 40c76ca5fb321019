use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

fn source(text: &str) -> Source {
    Source {
        name: "compose.yaml".to_owned(),
        text: text.to_owned(),
    }
}

fn shown(text: &str) -> String {
    let imported = import(&source(text)).unwrap_or_else(|found| panic!("{found}"));
    let mut shown = imported.fleet.clone();
    writeln!(
        shown,
        "\n{} services, {} left out, {} hidden",
        imported.services, imported.left_out, imported.hidden
    )
    .unwrap();
    for note in imported.notes {
        writeln!(shown, "compose.yaml:{note}").unwrap();
    }
    shown
}

const SHOP: &str = r#"
name: shop
x-logging: &logging {driver: json-file}
services:
  web:
    image: nginx
    ports: ["8080:80", "8443:443"]
    healthcheck: {test: curl -f http://localhost/ || exit 1, interval: 10s}
    depends_on: [api]
    labels:
      - tier=front
      - traefik.http.routers.web.rule=Host(`shop.example`)
    logging: *logging
  API:
    build: ./api
    ports:
      - target: 9000
        published: "${API_PORT:-9000}"
        protocol: tcp
    healthcheck:
      test: ["CMD", "wget", "--spider", "-q", "--header", "x-key: s3cret", "http://localhost:9000/healthz"]
    depends_on:
      db: {condition: service_healthy}
    labels: {team: crm}
  db:
    image: postgres:17
    ports: ["127.0.0.1:5432:5432"]
    healthcheck: {test: ["CMD-SHELL", "pg_isready -U postgres"]}
  cache:
    image: redis
    expose: ["6379"]
  debug:
    image: pgadmin
    profiles: [debug, tools]
    ports: ["5050:80"]
  dns:
    image: coredns
    ports: ["53:53/udp"]
  worker:
    build: ./worker
    ports: ["${WORKER_PORT}:7000"]
"#;

#[test]
fn a_shop_becomes_a_fleet_and_what_it_can_not_use_is_said() {
    insta::assert_snapshot!(shown(SHOP));
}

#[test]
fn what_is_no_compose_file_is_a_clear_error() {
    let errors = [
        "services: {",
        "web: {image: nginx, ports: ['80:80']}",
        "services: []",
        "services: {}",
        "services: {a: {image: x}}",
        "services: {a: {expose: [80]}, b: {ports: ['53:53/udp']}}",
        "",
    ]
    .map(|text| import(&source(text)).unwrap_err().render(false));
    insta::assert_snapshot!(errors.join("\n----\n"));
    let huge = "#".repeat(300 * 1024);
    let text = import(&source(&huge)).unwrap_err().render(false);
    assert!(text.contains("at most 262144 are read"), "{text}");
    let deep = format!("services: {}", "[".repeat(5000));
    assert!(import(&source(&deep)).is_err());
}

#[test]
fn services_that_wait_in_a_circle_lose_their_dependencies_and_nothing_else() {
    let text = "services:\n  a: {ports: ['1:1'], depends_on: [b]}\n  b: {ports: ['2:2'], depends_on: [a]}\n";
    let imported = import(&source(text)).unwrap();
    assert_eq!(imported.services, 2);
    assert!(!imported.fleet.contains("depends-on"), "{}", imported.fleet);
    let said = |note: &Note| note.text.contains("circle");
    assert!(imported.notes.iter().any(said), "{:?}", imported.notes);
}

#[test]
fn two_services_on_one_port_are_told_apart_from_two_of_one_name() {
    let text = "services:\n  a: {ports: ['1:1']}\n  b: {ports: ['1:1']}\n  C: {ports: ['3:3']}\n  c: {ports: ['4:4']}\n";
    let imported = import(&source(text)).unwrap();
    let said: Vec<_> = imported.notes.iter().map(ToString::to_string).collect();
    assert_eq!((imported.services, imported.left_out), (2, 2), "{said:?}");
}

#[test]
fn whatever_stands_in_the_file_neither_the_fleet_nor_a_note_plays_tricks() {
    let hostile = [
        "services: {\"a\\e[31m\": {ports: ['80:80'], labels: {\"x\\ny\": \"z\\e[2J\", ok: \"q\\\"}: {\"}}}",
        "services: {\"\\u202e\\n# x\": {ports: ['80:80']}, b: {ports: ['81:81']}}",
        "services: {a: {ports: ['80:80'], healthcheck: {test: 'curl http://localhost/\"}]{'}}}",
        "services: {a: {ports: ['80:80'], profiles: [\"\\n  - evil\"]}, b: {ports: ['81:81']}}",
        "services: {a: {expose: [80], healthcheck: {test: \"curl 'http://localhost/\\nx'\"}}, b: {ports: ['81:81']}}",
        "services: {true: {ports: ['80:80']}, null: {ports: ['81:81']}, 1e3: {ports: ['82:82']}}",
    ];
    for text in hostile {
        let imported = import(&source(text)).unwrap_or_else(|found| panic!("{text}: {found}"));
        check(&imported.fleet).unwrap_or_else(|found| panic!("{found}"));
        let all = imported
            .notes
            .iter()
            .fold(imported.fleet, |all, note| all + &note.text);
        let tricks =
            |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!all.contains(tricks), "{all:?}");
        assert!(!all.contains("\n  - evil"), "{all}");
    }
}

#[test]
fn a_flood_of_notes_is_cut_and_counted() {
    let ports = vec!["'53:53/udp'"; 5000].join(", ");
    let text = format!("services: {{a: {{ports: ['80:80', {ports}]}}}}");
    let imported = import(&source(&text)).unwrap();
    assert!(imported.notes.len() <= 100, "{}", imported.notes.len());
    let names: String = (0..3000).map(|n| format!("  s{n}: {{}}\n")).collect();
    let imported = import(&source(&format!(
        "services:\n  a: {{ports: ['80:80']}}\n{names}"
    )))
    .unwrap();
    assert_eq!((imported.notes.len(), imported.left_out), (100, 3000));
    assert!(imported.hidden > 2000);
}

/// What stands in Compose files, right and wrong, to be put anywhere into one.
const PIECES: [&str; 24] = [
    "",
    " ",
    "\n",
    "\n  ",
    "- ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "#",
    "&a ",
    "*a",
    "<<: ",
    "${X:-80}",
    "${",
    "80:80",
    "[::1]:1:2",
    "null",
    "99999",
    "\u{202e}",
    "\\e[31m",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_to_a_file_it_is_refused_or_becomes_a_valid_fleet(
        edits in prop::collection::vec((0..SHOP.len(), 0..12_usize, 0..PIECES.len()), 1..8)
    ) {
        let mut text = SHOP.to_owned();
        for (at, gone, piece) in edits {
            let at = at.min(text.len());
            let end = (at + gone).min(text.len());
            if text.is_char_boundary(at) && text.is_char_boundary(end) {
                text.replace_range(at..end, PIECES[piece]);
            }
        }
        let source = source(&text);
        match import(&source) {
            Ok(imported) => {
                prop_assert!(check(&imported.fleet).is_ok(), "{}", imported.fleet);
                prop_assert!(imported.services > 0);
                let all = imported.notes.iter().fold(imported.fleet, |all, note| all + &note.text);
                prop_assert!(!all.contains(|c: char| c.is_control() && c != '\n'), "{all:?}");
            }
            // What is wrong lies in the file that was given, never in the one that was made of it.
            Err(found) => {
                prop_assert!(!found.is_empty());
                prop_assert!(found.iter().all(|one| one.file == source.name), "{found}");
            }
        }
    }
}
