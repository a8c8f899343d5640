#include <math.h>
#include <stdio.h>
#include <sys/utsname.h>

int main(int argc, char **argv) {
  struct utsname name;
  if (uname(&name)) return 1;
  return printf("%s %.2f\n", name.machine, cos(argc - 1)) < 0;
}
