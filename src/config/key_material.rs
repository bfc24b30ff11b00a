//! The keys themselves: given, read from files, or generated for development.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use config::{File, FileFormat};
use data_encoding::BASE64;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::ConfigError;
use super::sections::{Config, Mode};

/// Length of a master key in bytes.
pub const KEY_BYTES: usize = 32;
/// A key file is one short line; more is a mistake.
const KEY_FILE_MAX_BYTES: u64 = 1024;
const DEVELOPMENT_KEYS_FILE: &str = "development-keys.toml";

/// A master key. Wiped when dropped; has no `Debug` on purpose.
pub struct Key(Zeroizing<[u8; KEY_BYTES]>);

impl Key {
    /// The key's bytes.
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

/// The keys the service works with. Has no `Debug` on purpose.
pub struct KeyMaterial {
    /// Seals what is written from now on.
    pub master: Key,
    /// Open what was sealed before.
    pub previous: Vec<Key>,
    /// Signs HS256 tokens; always present in development, never in production.
    pub development_secret: Option<SecretString>,
    /// The file of generated keys, if any of the above comes from it.
    pub generated_in: Option<PathBuf>,
}

impl Config {
    /// The keys to work with. In development, those that are not configured come from
    /// `<data_dir>/development-keys.toml`, which is generated (mode 0600) when it does not exist.
    /// [`KeyMaterial::generated_in`] then names it; who serves with such keys has to warn loudly.
    ///
    /// # Errors
    /// A key or its file cannot be read, or the file of generated keys cannot be written, read or
    /// is open to other users.
    pub fn key_material(&self) -> Result<KeyMaterial, ConfigError> {
        let mut previous = Vec::new();
        for text in &self.keys.previous_master_keys {
            let key = decode_key(text.expose_secret());
            previous.push(named("keys.previous_master_keys", key)?);
        }
        for path in &self.keys.previous_master_key_files {
            previous.push(named(
                "keys.previous_master_key_files",
                read_key_file(path),
            )?);
        }
        let given = match (&self.keys.master_key, &self.keys.master_key_file) {
            (Some(text), _) => Some(named("keys.master_key", decode_key(text.expose_secret()))?),
            (None, Some(path)) => Some(named("keys.master_key_file", read_key_file(path))?),
            (None, None) => None,
        };
        let secret = self.auth.development_secret.clone();
        match (self.mode, given, secret) {
            (Mode::Production, Some(master), None) => Ok(KeyMaterial {
                master,
                previous,
                development_secret: None,
                generated_in: None,
            }),
            (Mode::Production, _, _) => Err(ConfigError::one(
                "keys",
                "production needs a master key and takes no development secret",
            )),
            (Mode::Development, Some(master), Some(secret)) => Ok(KeyMaterial {
                master,
                previous,
                development_secret: Some(secret),
                generated_in: None,
            }),
            (Mode::Development, given, secret) => {
                let (path, generated) = development_keys(&self.data_dir)?;
                Ok(KeyMaterial {
                    master: given.unwrap_or(generated.master),
                    previous,
                    development_secret: Some(secret.unwrap_or(generated.secret)),
                    generated_in: Some(path),
                })
            }
        }
    }
}

fn named<T>(setting: &str, result: Result<T, String>) -> Result<T, ConfigError> {
    result.map_err(|message| ConfigError::one(setting, message))
}

/// A master key from its base64 text.
pub(super) fn decode_key(text: &str) -> Result<Key, String> {
    let message = || {
        format!("expected {KEY_BYTES} random bytes in base64 (openssl rand -base64 {KEY_BYTES})")
    };
    let text = text.trim_ascii();
    let decoded = Zeroizing::new(BASE64.decode(text.as_bytes()).map_err(|_| message())?);
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    if decoded.len() != KEY_BYTES {
        return Err(message());
    }
    key.copy_from_slice(&decoded);
    if key.iter().all(|byte| *byte == 0) {
        return Err("is all zeros".to_owned());
    }
    Ok(Key(key))
}

/// A master key from a file that holds nothing else.
pub(super) fn read_key_file(path: &Path) -> Result<Key, String> {
    let unreadable = |error: io::Error| format!("{} cannot be read: {error}", path.display());
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if metadata.len() > KEY_FILE_MAX_BYTES {
        return Err(format!("{} is too large for a key", path.display()));
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(unreadable)?);
    decode_key(&text).map_err(|message| format!("{}: {message}", path.display()))
}

struct DevelopmentKeys {
    master: Key,
    secret: SecretString,
}

fn development_keys(data_dir: &Path) -> Result<(PathBuf, DevelopmentKeys), ConfigError> {
    let path = data_dir.join(DEVELOPMENT_KEYS_FILE);
    let failed = |error: io::Error| {
        ConfigError::one(
            "data_dir",
            format!("{} cannot be made: {error}", path.display()),
        )
    };
    if !path.exists() {
        generate(&path).map_err(failed)?;
    }
    let keys = read_development_keys(&path)?;
    Ok((path, keys))
}

fn read_development_keys(path: &Path) -> Result<DevelopmentKeys, ConfigError> {
    let name = path.display().to_string();
    let mode = fs::metadata(path)
        .map_err(|error| ConfigError::one(&name, format!("cannot be read: {error}")))?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        let message = "is open to other users; make it yours alone (chmod 600)";
        return Err(ConfigError::one(&name, message));
    }
    let unusable = || {
        let message = "is damaged; restore it, or remove it to have new keys generated, which makes \
                       secrets stored so far unreadable";
        ConfigError::one(&name, message)
    };
    let table = config::Config::builder()
        .add_source(File::from(path).format(FileFormat::Toml).required(true))
        .build()
        .map_err(|_| unusable())?;
    let text = |key: &str| {
        table
            .get_string(key)
            .map(Zeroizing::new)
            .map_err(|_| unusable())
    };
    Ok(DevelopmentKeys {
        master: decode_key(&text("master_key")?).map_err(|_| unusable())?,
        secret: SecretString::from(text("development_secret")?.as_str()),
    })
}

/// Writes the file whole or not at all, and never over one that another process made first.
fn generate(path: &Path) -> io::Result<()> {
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(directory)?;
    let master_key = random_base64()?;
    let secret = random_base64()?;
    let text = Zeroizing::new(format!(
        "# Generated for development. Never use these keys in production.\n\
         master_key = \"{}\"\ndevelopment_secret = \"{}\"\n",
        *master_key, *secret,
    ));
    let mut draft = tempfile::NamedTempFile::new_in(directory)?;
    draft.write_all(text.as_bytes())?;
    draft.as_file().sync_all()?;
    match draft.persist_noclobber(path) {
        Err(failed) if failed.error.kind() != io::ErrorKind::AlreadyExists => Err(failed.error),
        _ => Ok(()),
    }
}

fn random_base64() -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    aws_lc_rs::rand::fill(&mut *bytes)
        .map_err(|_| io::Error::other("the machine gives no random bytes"))?;
    Ok(Zeroizing::new(BASE64.encode(&*bytes)))
}
