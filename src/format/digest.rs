//! SHA-1 and SHA-256 in lower-case hexadecimal, from *ring*.

use ring::digest;

/// Forty hex digits. Names files of the token cache, as every AWS tool does; it protects nothing.
pub fn sha1_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref())
}

/// The raw 32 bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Lower case, two digits a byte.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = vec![0; 2 * bytes.len()];
    let (pairs, _) = text.as_chunks_mut();
    for (pair, byte) in pairs.iter_mut().zip(bytes) {
        *pair = [
            DIGITS[usize::from(byte >> 4)],
            DIGITS[usize::from(byte & 15)],
        ];
    }
    String::from_utf8(text).expect("the digits are ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Interop page, section 8.6: the names that the AWS CLI and the SDKs give to these sessions' files.
    #[test]
    fn cache_files_are_named_as_every_aws_tool_names_them() {
        for (name, expected) in [
            ("my-sso", "0ad374308c5a4e22f723adf10145eafad7c4031c"),
            ("my sso", "b3902c2d49b36c95af74dedb0f77c5828749e230"),
            ("ñ", "c94bcf8c2a99decd9ede6a0a0fc681362c202fc3"),
            ("admin", "d033e22ae348aeb5660fc2140aec35850c4da997"),
            (
                "https://d-1234567890.awsapps.com/start",
                "7487b5b67d5fa1132cf33fa93ae51ef38cc37752",
            ),
            (
                "https://d-1234567890.awsapps.com/start/",
                "ae4321de83751a696d13fbefb87d776773c41e1c",
            ),
            (
                "https://d-1234567890.awsapps.com/start#/",
                "a1c75994a810c1c468d3bd565eda2836303e6659",
            ),
        ] {
            assert_eq!(sha1_hex(name.as_bytes()), expected);
        }
    }

    #[test]
    fn sha256_is_sha256() {
        assert_eq!(
            hex(&sha256(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
