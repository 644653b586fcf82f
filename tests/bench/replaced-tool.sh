#!/usr/bin/env bash
# What a check by the replaced bash tool did: sed over the config, jq over each token file, and for a due token the
# AWS CLI and jq again. The bench runs it as a peer.
#
# usage: replaced-tool.sh AWS ENDPOINT
set -euo pipefail

aws=$1 endpoint=$2 threshold=1800
now=$(date +%s)

while read -r name; do
    file=~/.aws/sso/cache/$(printf %s "$name" | sha1sum | cut -d ' ' -f 1).json
    [ -f "$file" ] || continue
    expires=$(date -d "$(jq -r .expiresAt "$file")" +%s)
    if ((expires - now > threshold)); then
        continue
    fi
    answer=$("$aws" sso-oidc create-token --endpoint-url "$endpoint" --region "$(jq -r .region "$file")" \
        --client-id "$(jq -r .clientId "$file")" --client-secret "$(jq -r .clientSecret "$file")" \
        --grant-type refresh_token --refresh-token "$(jq -r .refreshToken "$file")" --output json)
    ends=$(date -u -d "+$(jq .expiresIn <<<"$answer") seconds" +%Y-%m-%dT%H:%M:%SZ)
    jq --argjson answer "$answer" --arg ends "$ends" \
        '.accessToken = $answer.accessToken | .refreshToken = ($answer.refreshToken // .refreshToken) | .expiresAt = $ends' \
        "$file" >"$file.tmp"
    chmod 600 "$file.tmp"
    mv "$file.tmp" "$file"
done < <(sed -n 's/^\[sso-session \(.*\)\]$/\1/p' ~/.aws/config)
