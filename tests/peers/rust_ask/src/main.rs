// SPDX-License-Identifier: Apache-2.0

//! One GET of reqwest's over HTTP/1.1: ask URL TOKEN CA. Prints the status.

use std::error::Error;

use reqwest::{blocking::Client, Certificate};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, url, token, ca] = &args[..] else {
        return Err("usage: ask URL TOKEN CA".into());
    };
    let root = Certificate::from_pem(&std::fs::read(ca)?)?;
    let client = Client::builder().add_root_certificate(root).http1_only().build()?;
    let response = client.get(url).bearer_auth(token).send()?;
    println!("{}", response.status().as_u16());
    Ok(())
}
