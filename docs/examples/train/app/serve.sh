#!/bin/sh
echo "service $(cat VERSION 2>/dev/null || echo in development)"
