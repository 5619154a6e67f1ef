#pragma once
long calc(const char *text);
