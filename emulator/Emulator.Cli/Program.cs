using System.Text;
using Emulator.Cli.Commands;

// Buffered: a trace has many small pieces. Commands that go on after they have said something flush it.
using var standardOutput = new StreamWriter(Console.OpenStandardOutput(), new UTF8Encoding(encoderShouldEmitUTF8Identifier: false), bufferSize: 32 * 1024);
return CommandLine.Run(args, TextWriter.Synchronized(standardOutput), Console.Error);
