// Gets tokens and role credentials through the AWS SDK for Go v2, as the lines of JSON on standard input ask.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sso"
)

type question struct {
	Want    string  `json:"want"`
	Profile string  `json:"profile"`
	Delay   float64 `json:"delay"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var asked question
		err := json.Unmarshal(lines.Bytes(), &asked)
		told := map[string]string{}
		if err == nil {
			told, err = answer(asked)
		}
		if err != nil {
			told = map[string]string{"error": err.Error()}
		}
		text, _ := json.Marshal(told) // strings alone cannot fail
		fmt.Println(string(text))
	}
}

// A new configuration each time, and so a new token cache.
func answer(asked question) (map[string]string, error) {
	time.Sleep(time.Duration(asked.Delay * float64(time.Second)))
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx, config.WithSharedConfigProfile(asked.Profile))
	if err != nil {
		return nil, err
	}
	if cfg.BearerAuthTokenProvider == nil {
		return nil, errors.New("no token provider")
	}
	token, err := cfg.BearerAuthTokenProvider.RetrieveBearerToken(ctx)
	if err != nil {
		return nil, err
	}
	if asked.Want == "token" {
		return map[string]string{"token": token.Value}, nil
	}
	// Role credentials of this version know only profiles of the old form: what later ones do, this does here.
	given, err := sso.NewFromConfig(cfg).GetRoleCredentials(ctx, &sso.GetRoleCredentialsInput{
		AccessToken: &token.Value,
		AccountId:   aws.String("123456789012"),
		RoleName:    aws.String("Developer"),
	})
	if err != nil {
		return nil, err
	}
	return map[string]string{"accessKeyId": *given.RoleCredentials.AccessKeyId}, nil
}
