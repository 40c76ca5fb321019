//! What clients are aimed at: our own light target, and nginx if it is here. Both answer with the
//! same 13 bytes, in one thread on one core.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    rc::Rc,
};

use serde_json::Value;

use super::{
    TARGET_CORE,
    client::{on_core, starts},
};
use crate::site::{Running, eventually};

#[derive(Debug)]
pub(crate) struct Target {
    name: &'static str,
    address: SocketAddr,
    /// Requests that share a connection; none in HTTP/1.
    pub(crate) streams: Option<u32>,
    running: Rc<Running>,
}

impl Target {
    pub(crate) fn start_all(bin: &Path, dir: &Path) -> Vec<Self> {
        let mut targets = vec![Self::light(bin, dir)];
        // It lies where those who are not root do not look.
        let nginx = ["nginx", "/usr/sbin/nginx"]
            .into_iter()
            .find(|program| starts(program));
        match nginx {
            Some(nginx) => targets.extend(Self::nginx(nginx, dir)),
            None => eprintln!("!! skipped: nginx is not here"),
        }
        targets
    }

    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    fn light(bin: &Path, dir: &Path) -> Self {
        let mut light = on_core(TARGET_CORE, bin.join("nepho-sample-fleet"));
        let running = Running::start(light.arg("light"), dir, "light");
        let said = dir.join("light.stdout");
        let address = eventually("the light target listens", || {
            let said: Value = serde_json::from_str(&fs::read_to_string(&said).ok()?).ok()?;
            said["listen"].as_str()?.parse().ok()
        });
        Self {
            name: "light",
            address,
            streams: None,
            running: Rc::new(running),
        }
    }

    /// On a port for HTTP/1, and on one for HTTP/2.
    fn nginx(program: &str, dir: &Path) -> [Self; 3] {
        // It can't take free ports by itself. Whoever takes these meanwhile makes it fail.
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let free = [any; 2].map(|any| TcpListener::bind(any).unwrap());
        let [one, two] = free.map(|free| free.local_addr().unwrap());
        let config = dir.join("nginx.conf");
        fs::write(&config, nginx_config(dir, one, two)).unwrap();
        let mut nginx = on_core(TARGET_CORE, program);
        nginx.arg("-p").arg(dir).arg("-c").arg(&config);
        let running = Rc::new(Running::start(&mut nginx, dir, "nginx"));
        eventually("nginx listens", || {
            assert!(
                !running.errors().contains("[emerg]"),
                "{}",
                running.errors()
            );
            TcpStream::connect(one).and(TcpStream::connect(two)).ok()
        });
        let all = [
            ("nginx", one, None),
            ("nginx, HTTP/2", two, Some(1)),
            ("nginx, HTTP/2, 10 streams", two, Some(10)),
        ];
        all.map(|(name, address, streams)| Self {
            name,
            address,
            streams,
            running: Rc::clone(&running),
        })
    }
}

/// Everything that it writes lies in `dir`. Without a master: whoever ends the one process leaves no
/// worker behind.
fn nginx_config(dir: &Path, one: SocketAddr, two: SocketAddr) -> String {
    let dir = dir.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("  {what}_temp_path {dir}/nginx-{what};\n"))
        .concat();
    format!(
        "daemon off;\nmaster_process off;\npid {dir}/nginx.pid;\nerror_log stderr;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n  access_log off;\n  keepalive_requests 1000000;\n{temporary}  \
         server {{\n    listen {one};\n    listen {two} http2;\n    default_type text/plain;\n    \
         location / {{ return 200 \"hello, world\\n\"; }}\n  }}\n}}\n"
    )
}
