// Command program is what the tests of the rules put into images.
package main

func main() { println("program") }
