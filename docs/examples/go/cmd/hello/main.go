package main

import (
	"fmt"
	"os"

	"example.test/hello/greet"
)

var version = "dev"

func main() { fmt.Println(greet.To(os.Args[1:]...), version) }
