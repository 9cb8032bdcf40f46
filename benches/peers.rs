//! What a user would pick instead, as Debian has it and as their manuals begin: chrony, the NATS server, mosquitto, and
//! servers of a dozen lines of Python. A program that is not there is named in the table.

use crate::place::{self, Cores};
use crate::process::{Process, new_folder};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::path::PathBuf;
use std::process::Command;

/// The Debian package of a peer, the program in it, and how that tells its version.
const PROGRAMS: [(&str, &str, &str); 4] = [
    ("chrony", "chronyd", "--version"),
    ("nats-server", "nats-server", "--version"),
    ("mosquitto", "mosquitto", "-h"),
    ("python3", "python3", "--version"),
];

/// Where a program is: in the path, and in the folders of administrators.
pub(crate) fn find(program: &str) -> io::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let mut places = folders.map(|folder| folder.join(program));
    places.find(|place| place.is_file()).ok_or_else(|| io::Error::other(format!("{program} is not installed")))
}

/// The versions of the peers, or that they are not there.
pub(crate) fn versions() -> Vec<String> {
    let version = |(package, program, option): (&str, &str, &str)| {
        let output = find(program).and_then(|program| Command::new(program).arg(option).output());
        let Ok(output) = output else { return format!("{package}: not installed") };
        let said = if output.stdout.is_empty() { output.stderr } else { output.stdout };
        String::from_utf8_lossy(&said).lines().next().unwrap_or(package).trim().to_owned()
    };
    PROGRAMS.into_iter().map(version).collect()
}

fn new_address() -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, place::new_port())
}

/// Starts `chronyd`, which serves the host's own time and does not touch its clock.
pub(crate) fn chrony(cores: Cores) -> io::Result<(Process, SocketAddrV4)> {
    let (server, folder) = (new_address(), new_folder()?);
    let pid = folder.join("pid");
    let config = format!(
        "local stratum 1\nallow 127.0.0.0/8\nport {}\ncmdport 0\nbindcmdaddress /\npidfile {}\n",
        server.port(),
        pid.display()
    );
    std::fs::write(folder.join("chrony.conf"), config)?;
    let mut command = Command::new(find("chronyd")?);
    command.args(["-d", "-x", "-u", "root", "-f"]).arg(folder.join("chrony.conf"));
    Ok((Process::start(cores, folder, &mut command)?, server))
}

/// Starts the time server of a Python tutorial.
pub(crate) fn python_time(cores: Cores) -> io::Result<(Process, SocketAddrV4)> {
    python(cores, include_str!("peers/time_server.py"))
}

/// Starts the chat server of a Python tutorial.
pub(crate) fn python_chat(cores: Cores) -> io::Result<(Process, SocketAddrV4)> {
    python(cores, include_str!("peers/chat_server.py"))
}

/// Starts the NATS server.
pub(crate) fn nats(cores: Cores) -> io::Result<(Process, SocketAddrV4)> {
    let server = new_address();
    let mut command = Command::new(find("nats-server")?);
    command.args(["-a", "127.0.0.1", "-p"]).arg(server.port().to_string());
    connectable(Process::start(cores, new_folder()?, &mut command)?, server)
}

/// Starts mosquitto, which lets anybody in.
pub(crate) fn mosquitto(cores: Cores) -> io::Result<(Process, SocketAddrV4)> {
    let (server, folder) = (new_address(), new_folder()?);
    let config = format!("listener {} 127.0.0.1\nallow_anonymous true\nuser root\n", server.port());
    std::fs::write(folder.join("mosquitto.conf"), config)?;
    let mut command = Command::new(find("mosquitto")?);
    command.arg("-c").arg(folder.join("mosquitto.conf"));
    connectable(Process::start(cores, folder, &mut command)?, server)
}

/// Waits until a broker takes connections.
fn connectable(mut process: Process, server: SocketAddrV4) -> io::Result<(Process, SocketAddrV4)> {
    process.wait_until(|| TcpStream::connect(server).is_ok())?;
    Ok((process, server))
}

fn python(cores: Cores, program: &str) -> io::Result<(Process, SocketAddrV4)> {
    let server = new_address();
    let mut command = Command::new(find("python3")?);
    command.arg("-c").arg(program).arg(server.port().to_string());
    Ok((Process::start(cores, new_folder()?, &mut command)?, server))
}
