#!/bin/sh
# Makes an OCI layout in image/layout: the output folder image itself is there already, and umoci makes its own.
set -eu
make -C program LDFLAGS=-static calc
umoci init --layout image/layout
umoci new --image image/layout:latest
umoci insert --image image/layout:latest program/calc /calc
umoci config --image image/layout:latest --config.entrypoint /calc
umoci gc --layout image/layout
