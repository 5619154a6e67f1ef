/* Questions to the person at the terminal (reference 02 §6.4). */
#pragma once

#include "fly/fly.h"

/* "PROMPT [yN]: "; the end of input is a no. */
bool prompt_confirm(const char *prompt);
/* "PROMPT: "; returns new text, "" at the end of input. */
char *prompt_text(const char *prompt);
/* Reads to the next carriage return or newline. Returns new, or NULL at the end of input. */
char *prompt_line(void);
