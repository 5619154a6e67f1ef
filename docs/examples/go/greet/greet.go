package greet

import "strings"

func To(names ...string) string {
	if len(names) == 0 {
		names = []string{"world"}
	}
	return "Hello, " + strings.Join(names, " and ") + "!"
}
