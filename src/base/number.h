/* Decimal digits of floating point numbers. Internal to base. */
#pragma once

#include "base/error.h"

#define NUMBER_TEXT_MAX 40

/*
 * The fewest digits that read back as the same number of 32 or 64 bits, with an exponent: "1.2345e+06". Of texts
 * that short the one closest to the number, as in Go. number is finite.
 */
void number_shortest(double number, int bits, char ret[static NUMBER_TEXT_MAX]);
