package greet

import "testing"

func TestTo(t *testing.T) {
	if got := To("a", "b"); got != "Hello, a and b!" {
		t.Fatal(got)
	}
}
