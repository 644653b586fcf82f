//! The man page and the completions, rendered from the one table of commands and flags when the tests run.
//!
//! The program carries what was rendered (`fixtures/help`, packed), because the code that renders is larger than its
//! outcome; the test at the foot holds the two together. `UPDATE=1 make test` renders anew, and `git diff` is the review.

use crate::cli::{COMMANDS, Command, CommandId, Flag, Kind};
use crate::format::packed::pack;
use crate::help::{ARTIFACTS, EXITS, VARIABLES};

/// The files that a user may want to know of.
const FILES: [(&str, &str); 7] = [
    ("~/.aws/config", "the AWS config; read, never written"),
    (
        "~/.aws/sso/cache/",
        "token files, shared with the AWS CLI and the SDKs",
    ),
    (
        "~/.local/share/aws-sso-refresh/refresh.log",
        "what was done; turned over at 1 MiB",
    ),
    (
        "~/.local/share/aws-sso-refresh/sessions.json",
        "what earlier runs did with each session",
    ),
    (
        "~/.local/share/aws-sso-refresh/job.env",
        "the settings of the background job",
    ),
    (
        "~/Library/LaunchAgents/com.aws.sso-refresh.plist",
        "the job on macOS",
    ),
    (
        "~/.config/systemd/user/aws-sso-refresh.timer",
        "the job on Linux",
    ),
];

/// The man page, in mdoc(7).
fn man() -> String {
    let mut page = String::from(
        ".Dd November 23, 2026\n.Dt AWS-SSO-REFRESH 1\n.Os\n.Sh NAME\n.Nm aws-sso-refresh\n\
         .Nd keep every AWS SSO session fresh in the background\n.Sh SYNOPSIS\n",
    );
    for command in COMMANDS {
        page.push_str(&format!(".Nm\n.Cm {}\n", command.name));
        for flag in command.flags {
            page.push_str(&format!(".Op {}\n", man_flag(flag)));
        }
        if let Some(argument) = &command.argument {
            let optional = if argument.is_required {
                ".Ar"
            } else {
                ".Op Ar"
            };
            page.push_str(&format!(
                "{optional} {}\n",
                argument.name.replace('|', " | ")
            ));
        }
    }
    page.push_str(
        ".Sh DESCRIPTION\nAn AWS SSO access token lives an hour.\n.Nm\nis started every few minutes by launchd or \
         systemd, reads\n.Pa ~/.aws/config\nand the token cache that the AWS CLI and the SDKs share, and renews what is \
         about to expire with the stored refresh token, without a browser.\nOnly when a session has truly ended does a \
         person have to sign in.\nWithout a command,\n.Nm\nrefreshes.\n.Sh COMMANDS\n.Bl -tag -width Ds\n",
    );
    for command in COMMANDS {
        page.push_str(&format!(".It Cm {}\n{}.\n", command.name, command.summary));
        for paragraph in command.about {
            page.push_str(&format!(".Pp\n{}\n", man_text(paragraph)));
        }
        if !command.flags.is_empty() {
            page.push_str(".Bl -tag -width Ds\n");
            for flag in command.flags {
                page.push_str(&format!(
                    ".It {}\n{}.\n",
                    man_flag(flag),
                    man_text(flag.summary)
                ));
            }
            page.push_str(".El\n");
        }
    }
    page.push_str(".El\n.Sh ENVIRONMENT\n.Bl -tag -width Ds\n");
    for (name, summary) in VARIABLES {
        page.push_str(&format!(".It Ev {name}\n{}.\n", man_text(summary)));
    }
    page.push_str(
        ".El\n.Pp\nThe AWS CLI's\n.Ev AWS_CONFIG_FILE , AWS_PROFILE , AWS_CA_BUNDLE , HTTPS_PROXY , NO_PROXY\nand \
         endpoint variables are honoured.\nThe job keeps the settings that were in force at\n.Cm install .\n.Sh FILES\n\
         .Bl -tag -width Ds\n",
    );
    for (path, what) in FILES {
        page.push_str(&format!(".It Pa {path}\n{what}\n"));
    }
    page.push_str(".El\n.Sh EXIT STATUS\n.Bl -tag -width Ds\n");
    for (status, summary) in EXITS {
        page.push_str(&format!(".It {status}\n{}.\n", man_text(summary)));
    }
    page.push_str(
        ".El\n.Pp\nThe highest number wins.\n.Sh EXAMPLES\nInstall the background job and look at it:\n.Bd -literal \
         -offset indent\naws-sso-refresh install\naws-sso-refresh status\n.Ed\n.Sh SEE ALSO\n.Xr launchctl 1 ,\n\
         .Xr systemctl 1\n",
    );
    page
}

/// Completions for bash, from 3.2 on.
fn bash() -> String {
    let names: Vec<&str> = COMMANDS.iter().map(|command| command.name).collect();
    let mut cases = String::new();
    for command in COMMANDS {
        cases.push_str(&format!(
            "        {}) words='{}' ;;\n",
            command.name,
            bash_words(command)
        ));
    }
    let sessions = values_of(Kind::Session).join("|");
    let numbers = values_of(Kind::Number).join("|");
    let asks_session = commands_with(Kind::Session).join("|");
    let asks_session = if asks_session.is_empty() {
        "-".to_string()
    } else {
        asks_session
    };
    format!(
        r#"# bash completion for aws-sso-refresh; made by `aws-sso-refresh generate bash`.

_aws_sso_refresh() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}}
    local command='' words='' i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${{COMP_WORDS[i]}} in
        {commands}) command=${{COMP_WORDS[i]}}; break ;;
        esac
    done
    case $previous in
    {sessions}) _aws_sso_refresh_sessions "$current"; return ;;
    {numbers}) return ;;
    esac
    case $command in
        '') words='{first} {refresh}' ;;
{cases}    esac
    # shellcheck disable=SC2207 # none of these words holds a blank, and bash 3.2 has no mapfile
    COMPREPLY=($(compgen -W "$words --help" -- "$current"))
    case $command in
    {asks_session}) [[ $current == -* ]] || _aws_sso_refresh_sessions "$current" ;;
    esac
}}

_aws_sso_refresh_sessions() {{
    local name
    while IFS= read -r name; do
        if [[ $name == "$1"* ]]; then
            printf -v name %q "$name"
            COMPREPLY+=("$name")
        fi
    done < <(aws-sso-refresh generate sessions 2>/dev/null)
}}

complete -F _aws_sso_refresh aws-sso-refresh
"#,
        commands = names.join("|"),
        first = names.join(" "),
        refresh = bash_words(&COMMANDS[0]),
    )
}

/// Completions for zsh.
fn zsh() -> String {
    let quoted = |text: &str| text.replace('\'', r"'\''");
    let mut commands = String::new();
    let mut cases = String::new();
    for command in COMMANDS {
        commands.push_str(&format!(
            "        '{}:{}'\n",
            command.name,
            quoted(command.summary)
        ));
        let specs: String = zsh_specs(command)
            .iter()
            .map(|spec| format!(" \\\n            {spec}"))
            .collect();
        cases.push_str(&format!(
            "        {})\n            _arguments{specs}\n            ;;\n",
            command.name
        ));
    }
    let refresh: String = zsh_specs(&COMMANDS[0])
        .iter()
        .map(|spec| format!(" \\\n        {spec}"))
        .collect();
    format!(
        r#"#compdef aws-sso-refresh
# zsh completion for aws-sso-refresh; made by `aws-sso-refresh generate zsh`.

_aws-sso-refresh() {{
    local curcontext=$curcontext state line
    local -a commands
    commands=(
{commands}    )
    _arguments -C{refresh} \
        '(- *)'{{-V,--version}}'[Show the version]' \
        '1: :->command' \
        '*:: :->rest' && return
    case $state in
    command)
        _describe -t commands command commands
        ;;
    rest)
        case $words[1] in
{cases}        esac
        ;;
    esac
}}

_aws-sso-refresh-sessions() {{
    local -a sessions
    sessions=(${{(f)"$(aws-sso-refresh generate sessions 2>/dev/null)"}})
    compadd -a sessions
}}

if [[ $funcstack[1] == _aws-sso-refresh ]]; then
    _aws-sso-refresh "$@"
else
    compdef _aws-sso-refresh aws-sso-refresh
fi
"#
    )
}

/// Completions for fish.
fn fish() -> String {
    let quoted = |text: &str| text.replace('\\', r"\\").replace('\'', r"\'");
    let mut script = String::from(
        "# fish completion for aws-sso-refresh; made by `aws-sso-refresh generate fish`.\n\n\
         complete -c aws-sso-refresh -f\n\
         complete -c aws-sso-refresh -s h -l help -d 'Show help'\n\
         complete -c aws-sso-refresh -n __fish_use_subcommand -s V -l version -d 'Show the version'\n",
    );
    for command in COMMANDS {
        let (name, summary) = (command.name, quoted(command.summary));
        script.push_str(&format!(
            "complete -c aws-sso-refresh -n __fish_use_subcommand -a {name} -d '{summary}'\n"
        ));
    }
    for command in COMMANDS {
        let seen = format!("__fish_seen_subcommand_from {}", command.name);
        let condition = match command.id {
            CommandId::Refresh => format!("'__fish_use_subcommand; or {seen}'"),
            _ => format!("'{seen}'"),
        };
        for flag in command.flags {
            let short = flag
                .short
                .map_or(String::new(), |short| format!(" -s {short}"));
            let value = match flag.value {
                None => "",
                Some((_, Kind::Session)) => {
                    " -x -a '(aws-sso-refresh generate sessions 2>/dev/null)'"
                }
                Some(_) => " -x",
            };
            let (long, summary) = (flag.long, quoted(flag.summary));
            script.push_str(&format!(
                "complete -c aws-sso-refresh -n {condition}{short} -l {long}{value} -d '{summary}'\n"
            ));
        }
        let words = match command.argument.as_ref().map(|argument| argument.kind) {
            None | Some(Kind::Number) => continue,
            Some(Kind::Session) => "(aws-sso-refresh generate sessions 2>/dev/null)".to_string(),
            Some(Kind::Command) => COMMANDS
                .iter()
                .map(|command| command.name)
                .collect::<Vec<_>>()
                .join(" "),
            Some(Kind::Artifact) => ARTIFACTS.join(" "),
        };
        script.push_str(&format!(
            "complete -c aws-sso-refresh -n {condition} -a '{words}'\n"
        ));
    }
    script
}

fn man_flag(flag: &Flag) -> String {
    let short = flag
        .short
        .map_or(String::new(), |short| format!("Fl {short} , "));
    let value = flag
        .value
        .map_or(String::new(), |(name, _)| format!(" Ar {name}"));
    format!("{short}Fl -{}{value}", flag.long)
}

/// A line that begins with a dot or a quote would be a request, and `-` a hyphen that cannot be copied.
fn man_text(text: &str) -> String {
    text.replace('\\', "\\e")
        .replace('-', "\\-")
        .replace(". ", ".\n")
}

/// The words that may follow a command, apart from sessions.
fn bash_words(command: &Command) -> String {
    let flags = command.flags.iter().map(|flag| format!("--{}", flag.long));
    let values: Vec<String> = match command.argument.as_ref().map(|argument| argument.kind) {
        Some(Kind::Command) => COMMANDS
            .iter()
            .map(|command| command.name.to_string())
            .collect(),
        Some(Kind::Artifact) => ARTIFACTS.map(str::to_string).to_vec(),
        _ => Vec::new(),
    };
    flags.chain(values).collect::<Vec<_>>().join(" ")
}

/// The spellings of all flags whose value is of this kind.
fn values_of(kind: Kind) -> Vec<String> {
    let flags = COMMANDS
        .iter()
        .flat_map(|command| command.flags)
        .filter(|flag| flag.value.is_some_and(|v| v.1 == kind));
    flags
        .flat_map(|flag| {
            [
                flag.short.map(|short| format!("-{short}")),
                Some(format!("--{}", flag.long)),
            ]
        })
        .flatten()
        .collect()
}

fn commands_with(kind: Kind) -> Vec<&'static str> {
    let asks = |command: &&Command| {
        command
            .argument
            .as_ref()
            .is_some_and(|argument| argument.kind == kind)
    };
    COMMANDS
        .iter()
        .filter(asks)
        .map(|command| command.name)
        .collect()
}

/// The arguments of zsh's `_arguments` for a command's flags and what stands behind it.
fn zsh_specs(command: &Command) -> Vec<String> {
    let escaped = |text: &str| {
        text.replace('\'', r"'\''")
            .replace('[', r"\[")
            .replace(']', r"\]")
    };
    let action = |kind: Kind| match kind {
        Kind::Session => "_aws-sso-refresh-sessions".to_string(),
        Kind::Command => format!(
            "({})",
            COMMANDS
                .iter()
                .map(|c| c.name)
                .collect::<Vec<_>>()
                .join(" ")
        ),
        Kind::Artifact => format!("({})", ARTIFACTS.join(" ")),
        Kind::Number => String::new(),
    };
    let mut specs: Vec<String> = vec!["'(- *)'{-h,--help}'[Show help]'".to_string()];
    for flag in command.flags {
        let value = match flag.value {
            None => String::new(),
            Some((name, kind)) => format!(":{name}:{}", action(kind)),
        };
        let again = if matches!(flag.value, Some((_, Kind::Session))) {
            "*"
        } else {
            ""
        };
        let (long, summary) = (flag.long, escaped(flag.summary));
        specs.push(match flag.short {
            Some(short) => {
                format!("'(-{short} --{long})'{{-{short},--{long}}}'[{summary}]{value}'")
            }
            None => format!("'{again}--{long}[{summary}]{value}'"),
        });
    }
    if let Some(argument) = &command.argument {
        specs.push(format!(
            "'1:{}:{}'",
            argument.name.replace('|', " or "),
            action(argument.kind)
        ));
    }
    specs
}

#[test]
fn the_program_carries_what_the_table_says() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/help");
    for (name, text) in [
        ("aws-sso-refresh.1", man()),
        ("aws-sso-refresh.bash", bash()),
        ("_aws-sso-refresh", zsh()),
        ("aws-sso-refresh.fish", fish()),
    ] {
        let path = folder.join(name);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &text).expect("the fixture can be written");
        }
        let carried = std::fs::read_to_string(&path).expect("the fixture is there");
        assert!(
            carried == text,
            "{name} has changed; UPDATE=1 make test, then look at git diff"
        );
    }
    // All of them have the same sentences, so they are packed as one: 15 kB become 6.
    let packed = pack([man(), bash(), zsh(), fish()].join("\0").as_bytes());
    let path = folder.join("packed");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &packed).expect("the fixture can be written");
    }
    let carried = std::fs::read(&path).expect("the fixture is there");
    assert!(carried == packed, "UPDATE=1 make test packs them anew");
}
