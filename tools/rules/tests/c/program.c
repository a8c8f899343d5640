#include <stdio.h>

int main(void) { return puts("program") < 0; }
