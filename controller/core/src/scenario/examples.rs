//! Files that are right, for the tests of this folder.

use std::collections::BTreeMap;

use super::{Bundle, Source};

/// A fleet of four services in three environments.
pub(crate) const FLEET: &str = r#"api: nepho/v1
environments:
  local: {title: 本地}
  tencent: {}
  aliyun: {}
groups:
  loomacrm: {title: 客户关系, balancing: {policy: round-robin, decides-on: request}}
  blockchain: {}
services:
  - name: crm-api
    environment: local
    group: loomacrm
    labels: {tier: front}
    depends-on: [crm-db, tencent/bc]
    http: {health: /healthz, status: [200, 204], headers: {x-probe: "${env:PROBE}"}}
    instances:
      - {name: "1", weight: 2, address: {inside: "10.0.0.5:7500", from: {tencent: "https://crm.example"}}}
      - {name: "2", address: {inside: "10.0.0.6:7500", default: "crm.example:7500"}, labels: {tier: back}}
  - name: crm-db
    environment: local
    tcp: {}
    address: {inside: "10.0.0.5:3307"}
  - name: bc
    environment: tencent
    group: blockchain
    http: {}
    external: {}
    address: {inside: "10.1.0.5:8301", default: "https://bc.example"}
  - name: bc
    environment: aliyun
    group: blockchain
    http: {}
    address: {inside: "10.2.0.5:8301", default: "https://bc.ali.example"}
"#;

/// A scenario with one stage of each form.
pub(crate) const SCENARIO: &str = r#"api: nepho/v1
name: three-environments
title: 三环境集群测试
fleet: ../cluster-config.yaml
stages:
  - name: local
    lasts: 18s
    steps:
      reach:
        probe: {health: {}, from: [local], to: {environment: [local]}}
    expect:
      - {on: reach, failures: {max: 0}}
  - name: cloud
    lasts: 20s
    steps:
      reach:
        probe: {health: {}, every: 1s, timeout: 2s, from: [tencent, aliyun], agents: all}
    expect:
      - {on: reach, success-rate: {min: 99.9%}, by: [from, environment, service], during: stage, gate: true}
  - name: hybrid
    after: [local, cloud]
    lasts: 1m30s
    steps:
      reach:
        probe: {health: {}, agents: "2"}
      home:
        probe:
          http: {path: /api/contacts?page=1, method: HEAD, headers: {authorization: "Bearer ${file:/run/token}"}, status: [200, 304]}
          every: 500ms
          to: {group: [loomacrm], label: {tier: [front, back]}}
      port:
        probe: {tcp: {}, every: 1s, to: {service: [crm-db], instance: ["1"]}}
    expect:
      - {on: reach, failures: {max: 0}, by: [from, environment, service], during: baseline}
      - {on: home, latency: {p50: {max: 250ms}, max: {max: 1s}}, gate: false}
      - {on: port, success-rate: {min: 99%}}
"#;

/// Both texts as the command line would send them.
pub(crate) fn bundle(scenario: &str, fleet: &str) -> Bundle {
    let source = |name: &str, text: &str| Source {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    let reference = "../cluster-config.yaml".to_owned();
    Bundle {
        scenario: source("scenario.yaml", scenario),
        files: BTreeMap::from([(reference, source("cluster-config.yaml", fleet))]),
    }
}
